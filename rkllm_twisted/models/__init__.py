"""Models by name: what lies in the directories of models, and the settings beside each."""
