[ ! -e .autopipec-end ] || exit 0
sh with_pacemaker_python.sh /opt/pacemaker/bin/pace_activeset probe.py > probe.out 2> probe.err || [ $? -ne 3 ] || exit 3
'/opt/pacemaker/bin/pace_activeset' '-g' '1.01' '-i' '300' '-b' 'auto' '-r' '3' '-m' 'auto' '-e' '0.5' '-d' 'train.pckl.gzip' 'output_potential.yaml'  > 'pace_activeset.out' 2> 'pace_activeset.err'
sh with_pacemaker_python.sh /opt/pacemaker/bin/pace_activeset collect.py activeset > collect.out 2> collect.err
touch .autopipec-end
