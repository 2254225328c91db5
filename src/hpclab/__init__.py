"""HPC Lab: a course in high-performance computing that runs on a real Slurm."""

__version__ = "0.1.0"
