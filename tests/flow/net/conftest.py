import pytest
from lab import places
from lab import site as lab_site


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The installation in its laboratory; each test leaves it as healthy as it was."""
    if why := places.why_not():
        pytest.skip(why)
    with lab_site.Lab(tmp_path_factory.mktemp("n")) as made:
        yield made
