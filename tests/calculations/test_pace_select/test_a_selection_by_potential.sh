[ ! -e .autopipec-end ] || exit 0
sh with_pacemaker_python.sh /opt/pacemaker/bin/pace_select probe.py > probe.out 2> probe.err || [ $? -ne 3 ] || exit 3
sh with_pacemaker_python.sh /opt/pacemaker/bin/pace_select select_structures.py > select_structures.out 2> select_structures.err
[ -e selection.json ] || '/opt/pacemaker/bin/pace_select' '-p' 'potential.yaml' '-a' 'NONE' '-o' 'selected.pkl.gz' '-g' '1.01' '-i' '300' '-b' '2' '-r' '2' '-mem' '8GB' '-m' '3' 'candidates.pckl.gzip'  > 'pace_select.out' 2> 'pace_select.err'
touch .autopipec-end
