"""Contract test classes for what others add: a runtime, an architecture, a reader. They need pytest, gossamer does not.

Subclass one in a test file, set `name`, and pytest runs the contract:

    from gossamer.testing.runtimes import RuntimeContract

    class TestMyRuntime(RuntimeContract):
        name = "myruntime"
"""
