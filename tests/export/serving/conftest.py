"""An entry and a retrieval system, served in this process."""

import concurrent.futures
import http.server
import json
import re
import threading

import pytest

import keras_hash
from keras_hash import export
from tests.entry import publish
from tests.export.serving.server import Refused
from tests.export.serving.server import Server


@pytest.fixture(scope="session")
def folders(model, tmp_path_factory):
    """An entry as it is written now, and a retrieval system, with names."""
    root = tmp_path_factory.mktemp("models")
    publish(model, root / "dshc_digits_30")
    bench = keras_hash.data.load("digits")
    codes = model.encode(bench.arrays("database")[0])
    ids = bench.ids[bench.parts["database"]]
    system = export.retrieval_model(model, codes, ids, k=3)
    export.save(*system, root / "retrieval" / "1")
    return root


@pytest.fixture(scope="session")
def model():
    return keras_hash.load("dshc_digits_30")


@pytest.fixture(scope="session")
def server(folders):
    return Server(folders / "dshc_digits_30" / "1")


@pytest.fixture(scope="session")
def retrieval(folders):
    return Server(folders / "retrieval" / "1")


@pytest.fixture(scope="session")
def digits():
    return keras_hash.data.load("digits").arrays("query")[0][:16]


def http_handler(models):
    """REST as the server has it: prediction, status and metrics."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, code, body):
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self):
            name = re.fullmatch(r"/v1/models/(\w+)", self.path)
            if self.path == "/monitoring/prometheus/metrics":
                self.answer(200, "# TYPE :tensorflow:cc counter\n")
            elif name and name[1] in models:
                status = {"error_code": "OK", "error_message": ""}
                version = {"version": "1", "state": "AVAILABLE"}
                body = {"model_version_status": [version | {"status": status}]}
                self.answer(200, json.dumps(body))
            else:
                self.answer(404, '{"error": "not found"}')

        def do_POST(self):
            name = re.fullmatch(r"/v1/models/(\w+):predict", self.path)[1]
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self.answer(200, models[name].rest(body))
            except Refused as error:
                self.answer(400, json.dumps({"error": str(error)}))

    return Handler


@pytest.fixture(scope="session")
def ports(server, retrieval):
    """REST and gRPC servers on free ports, in place of 8501 and 8500."""
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    models = {"dshc_digits_30": server, "retrieval": retrieval}

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            try:
                return models[request.model_spec.name].predict(request)
            except Refused as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    rest = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http_handler(models)
    )
    thread = threading.Thread(target=rest.serve_forever)
    thread.start()
    rpc = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(), rpc
    )
    port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    yield {"8501": str(rest.server_port), "8500": str(port)}
    rpc.stop(0).wait()
    rest.shutdown()
    rest.server_close()
    thread.join()
