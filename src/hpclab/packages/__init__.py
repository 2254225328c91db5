"""System packages of the embedded cluster, unpacked privately.

prefix      what is needed, and the finished folder that holds it
apt         asks the distribution's own apt, with private state
deb         unpacks archives and does what their install scripts would
apptainer   adds Apptainer where the distribution lacks it
elf         binds a program made for a newer C library to this one
"""
