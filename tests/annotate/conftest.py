import pytest

from .server import Server


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()
