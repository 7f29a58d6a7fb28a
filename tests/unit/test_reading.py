"""What the commands that look at the store read."""

from reconciler.app import reading
from reconciler.settings import Settings


async def test_status_says_that_nothing_is_there_under_the_name_that_was_asked_for(tmp_path):
    url = f"sqlite:///{tmp_path}/nobody/was/here.db"
    view = await reading.status(Settings(store=url))
    assert view.store == f"{url}: nothing is there yet"
    assert list(tmp_path.iterdir()) == []
