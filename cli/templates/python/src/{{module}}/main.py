import salt


@salt.task
def greet(name: str) -> str:
    """A task type: any agent may execute it. Its input and output are checked against its type hints."""
    print(f"greeting {name}")
    return f"Hello, {name}!"


@salt.task
def shout(text: str) -> str:
    return text.upper()


@salt.workflow
def hello(name: str = "world") -> str:
    """A workflow: plain code that calls task types."""
    greeting = greet(name)
    # A ref passed on without waiting for it: its value goes from task to task, not through here.
    return shout(salt.pass_on(greeting)).result()
