print('got-' + 'through: startup of the folder')
