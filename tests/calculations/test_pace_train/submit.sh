[ ! -e .autopipec-end ] || exit 0
sh with_pacemaker_python.sh /opt/pacemaker/bin/pacemaker probe.py --evaluator pyace > probe.out 2> probe.err || [ $? -ne 3 ] || exit 3
'/opt/pacemaker/bin/pacemaker' 'input.yaml'  > 'pacemaker.out' 2> 'pacemaker.err'
'/opt/pacemaker/bin/pace_yaml2yace' '-o' 'output_potential.yace' 'output_potential.yaml'  > 'pace_yaml2yace.out' 2> 'pace_yaml2yace.err'
'/opt/pacemaker/bin/pace_activeset' '-g' '1.01' '-i' '300' '-b' 'auto' '-r' '5' '-m' 'auto' '-a' '-d' 'train.pckl.gzip' 'output_potential.yaml'  > 'pace_activeset.out' 2> 'pace_activeset.err'
sh with_pacemaker_python.sh /opt/pacemaker/bin/pacemaker collect.py train > collect.out 2> collect.err
touch .autopipec-end
