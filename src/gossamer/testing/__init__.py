"""Contract test classes for what others add: architectures, tasks, runtimes, methods, readers. They need pytest.

Subclass one in a test file, set `name`, and pytest runs the contract. What stands in a package of your own is in the table
for as long as the tests of the file run:

    from gossamer.deploy.runtimes import RUNTIMES
    from gossamer.testing.runtimes import RuntimeContract

    @pytest.fixture(scope="module", autouse=True)
    def _added():
        with RUNTIMES.added("mine", "my_package.my_runtime"):
            yield

    class TestMyRuntime(RuntimeContract):
        name = "mine"
"""
