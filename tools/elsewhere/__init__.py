"""The tests under other conditions than those of the machine that wrote them: `make test-elsewhere` calls this."""
