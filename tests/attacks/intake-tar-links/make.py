import io
import tarfile


def make(folder, lab):
    path = folder.parent / f"{folder.name}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:

        def add(name, kind, link="", data=b""):
            entry = tarfile.TarInfo(f"{folder.name}/{name}")
            entry.type, entry.linkname, entry.size, entry.mode = kind, link, len(data), 0o6777
            archive.addfile(entry, io.BytesIO(data))

        add("", tarfile.DIRTYPE)
        add("out", tarfile.SYMTYPE, str(lab.canary.parent))
        add("out/canary.txt", tarfile.REGTYPE, data=b"written through a link")
        add("hard", tarfile.LNKTYPE, str(lab.secret))
        add("secret.txt", tarfile.SYMTYPE, str(lab.secret))
        add("device", tarfile.CHRTYPE)
        add("pipe", tarfile.FIFOTYPE)
        add("../slipped.txt", tarfile.REGTYPE, data=b"slipped")
        add(lab.file, tarfile.REGTYPE, data=(folder / lab.file).read_bytes())
        add(lab.file + "/inner", tarfile.REGTYPE, data=b"a file below a file")
    return path
