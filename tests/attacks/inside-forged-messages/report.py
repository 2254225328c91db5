import json
import sys

shell = get_ipython()
kernel = getattr(shell, "kernel", None)
message = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
if kernel:
    for kind in ("execute_reply", "execute_result", "status"):
        kernel.session.send(kernel.iopub_socket, kind, message, parent=kernel.get_parent())
for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
    stream.write(json.dumps({"msg_type": "execute_reply", "content": message}) + "\n")
    stream.flush()
try:
    from comm import create_comm

    create_comm(target_name="jupyter.widget", data={"state": {"_model_name": "lie"}})
except Exception as problem:
    print(problem)
