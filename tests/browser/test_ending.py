import pytest

from tests.browser.demo import is_reachable, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_ctrl_c_leaves_no_process_and_the_next_demo_goes_on(tmp_path):
    with running(tmp_path) as demo:
        assert len(demo.processes()) >= 5
        passwords = demo.passwords

        code = demo.interrupt()

        assert code == 0
        assert demo.processes() == []
        assert not is_reachable(demo.url)
        assert not is_reachable(demo.sandbox.url)
    with running(tmp_path) as again:
        assert again.passwords == passwords
