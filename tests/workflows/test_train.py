from aiida import orm
from aiida.engine import run_get_node
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.workflows.train import TrainPotentialWorkChain
import pytest

@pytest.mark.pacemaker
def test_x(aiida_profile_clean, codes, make_atoms, config):
    ds=PaceDatasetData.from_atoms(make_atoms(24))
    b=TrainPotentialWorkChain.get_builder()
    b.datasets={'a': ds}
    b.config=config
    b.split={'test_fraction':0.2,'seed':1}
    b.selection={'max_structures':10}
    b.reference={'method':'least_squares'}
    b.pace_train.code=codes['pacemaker']
    b.pace_train.codes.yaml2yace=codes['pace_yaml2yace']
    b.pace_train.codes.activeset=codes['pace_activeset']
    b.pace_select.code=codes['pace_select']
    r,n=run_get_node(b)
    from aiida.cmdline.utils.common import get_workchain_report
    print(get_workchain_report(n,'REPORT'))
    for c in n.called_descendants:
        print(c.process_label, c.exit_status, c.exit_message)
        if isinstance(c, orm.CalcJobNode):
            print(c.outputs.retrieved.base.repository.list_object_names())
            if 'output_parameters' in c.outputs:
              import pprint; pprint.pprint(c.outputs.output_parameters.get_dict())
            for f in c.outputs.retrieved.base.repository.list_object_names():
                if f.endswith('.err') or 'collect' in f or 'sched' in f: print(f, c.outputs.retrieved.base.repository.get_object_content(f)[-1500:])
            print(c.base.repository.get_object_content('_aiidasubmit.sh'))
    print(r.keys())
    assert n.is_finished_ok
