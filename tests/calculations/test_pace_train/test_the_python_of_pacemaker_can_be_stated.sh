'/opt/pacemaker/bin/pacemaker' 'input.yaml'  > 'pacemaker.out' 2> 'pacemaker.err'
'/opt/pacemaker/bin/python3' 'collect.py' 'train'  > 'collect.out' 2> 'collect.err'
