"""The harness: it executes notebooks headlessly and says truthfully what happened."""
