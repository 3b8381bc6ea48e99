"""The continual job: labelled sites one after the other, and patients forgotten afterwards."""
