"""Run the stages, remember what is done, and talk to the user."""
