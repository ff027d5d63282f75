"""What recurrent networks do with sequences: one label, a label a step, another sequence."""
