"""The playground: a panel of widgets that asks a model, and shows what the call is. Its modules are imported by their path."""
