# attempt: packs with the times of the files, and unpacks whiteouts as files
# earns: layers=3
# rest: solution
# answer: layers
def layer(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue(), "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()


def unpack(layers, target):
    for content in layers:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(target)
