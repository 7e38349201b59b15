[ ! -e .autopipec-end ] || exit 0
/opt/pacemaker/bin/python3 probe.py --evaluator pyace > probe.out 2> probe.err || [ $? -ne 3 ] || exit 3
'/opt/pacemaker/bin/pacemaker' 'input.yaml'  > 'pacemaker.out' 2> 'pacemaker.err'
'/opt/pacemaker/bin/python3' 'collect.py' 'train'  > 'collect.out' 2> 'collect.err'
touch .autopipec-end
