echo "got-""through: .profile of the folder"
