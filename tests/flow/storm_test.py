"""Any process is killed at any moment while updates run. `./run soak kill` does this for hours."""
import sqlite3

import storm


def test_every_job_ends_with_one_result_for_every_computer(folder):
    with storm.Storm(folder, agents=2, seed=4, mean=1.0) as weather:
        weather.blow(4)
        weather.calm()
        assert weather.wrong() == []
        assert weather.killed
        # What looks for mistakes sees them: an event that was lost, one that came twice, a result that is not there.
        with sqlite3.connect(weather.base) as base:
            base.execute("DELETE FROM events WHERE number = (SELECT max(number) FROM events WHERE agent_seq IS NOT NULL)")
            base.execute("INSERT INTO events (id, level, origin, computer, job, happened, received, params) SELECT id, level, "
                         "origin, computer, job, happened, received, params FROM events WHERE id = 784 LIMIT 1")
            base.execute("UPDATE jobs SET state = 'running' WHERE number = 2")
        base.close()
        seen = weather.wrong()
        assert [text for text in seen if "numbers" in text] and [text for text in seen if "784 and 785" in text], seen
        assert [text for text in seen if ": running, parts" in text], seen
