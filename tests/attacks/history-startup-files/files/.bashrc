echo "got-""through: .bashrc of the folder"
