"""Datasets: record them, write them as LeRobotDataset v3.0, merge, verify and read them."""
