"""Any process is killed at any moment while updates run. `./run soak kill` does this for hours."""
import storm


def test_every_job_ends_with_one_result_for_every_computer(folder):
    with storm.Storm(folder, agents=2, seed=4, mean=1.0) as weather:
        weather.blow(4)
        weather.calm()
        assert weather.wrong() == []
        assert weather.killed
