"""What a stranger adds from outside: a runtime, a task, a method and two readers, each by public names alone."""
