"""The stand-in Jetson's trtexec, in the documented formats of its releases.

Started as a program: ``stand_in_trtexec.py trtexec CONFIG ARGUMENT...``. What it "computes" is computed by ONNX Runtime on this
machine's processor; the times it tells are made up. Nothing of it is evidence of anything but that the texts are understood.
"""

import json
import os
import signal
import sys
import time

VERSIONS = {"8.2.1": "v8201", "8.6.2": "v8602", "10.3.0": "v100300", "10.16.2": "v101602", "11.4.1": "v110401", "7.1.3": "v7103"}
_COMMON = """--onnx --saveEngine --loadEngine --minShapes --optShapes --maxShapes --shapes --noTF32 --sparsity --timingCacheFile --loadInputs
--exportOutput --exportTimes --exportProfile --exportLayerInfo --dumpProfile --dumpOutput --dumpLayerInfo --separateProfileRun --iterations
--duration --warmUp --avgRuns --percentile --profilingVerbosity --verbose --device --useDLACore --allowGPUFallback --threads --help""".split()
_WEAK = "--fp16 --int8 --best --calib --precisionConstraints --layerPrecisions".split()
_QUIET = "--useSpinWait --useCudaGraph --noDataTransfers".split()


def options_of(version):
    """Those that the release knows; the same table stands in the field notes and in NVIDIA's migration guides."""
    known = set(_COMMON)
    if version < (11,):
        known |= {*_WEAK, *_QUIET, "--streams"}
    else:
        known |= {"--includeDataTransfers", "--noCudaGraph", "--noSpinWait"}
    if version < (8, 4):
        known |= {"--workspace", "--buildOnly"}
    elif version < (9,):
        known |= {"--workspace", "--memPoolSize", "--builderOptimizationLevel"}
    else:
        known |= {"--memPoolSize", "--builderOptimizationLevel"}
    if version >= (8, 6):
        known.add("--skipInference")
    if version >= (9,):
        known |= {"--infStreams", "--dumpRawBindingsToFile"}
    if (9,) <= version < (11,):
        known |= {"--stronglyTyped", "--bf16", "--fp8"}
    return known


class Trtexec:
    def __init__(self, config, arguments):
        self.config = config
        self.version = tuple(map(int, config["tensorrt"].split(".")))
        self.arguments = arguments
        mark = "[TensorRT %s]" % VERSIONS[config["tensorrt"]] + (" [b9]" if self.version >= (10, 6) else "")
        self.banner = "TensorRT.trtexec %s # %s" % (mark, " ".join(["trtexec", *arguments]))
        self.options = {}
        for argument in arguments:
            name, _, value = argument.partition("=")
            self.options[name] = value

    def say(self, text, severity="I"):
        print("[%s] [%s] %s" % (time.strftime("%m/%d/%Y-%H:%M:%S"), severity, text), flush=True)

    def main(self):
        print("&&&& RUNNING " + self.banner, flush=True)
        known = options_of(self.version)
        if "--help" in self.options:
            print("=== Model Options ===\n" + "\n".join("  %-28sas documented" % name for name in sorted(known)))
            return 0
        unknown = [name for name in self.options if name not in known]
        for name in unknown:
            self.say("Unknown option: %s %s" % (name, self.options[name]), "E")
        passed = not unknown and self.work()
        print("&&&& %s %s" % ("PASSED" if passed else "FAILED", self.banner), flush=True)
        return 0 if passed else 1

    def work(self):
        if self.config.get("no_gpu"):
            self.say("Cuda failure: no CUDA-capable device is detected", "E")
            return False
        if "--onnx" in self.options and not self.build():
            return False
        if "--loadEngine" in self.options:
            return self.load_and_run()
        return True

    # ------------------------------------------------------------ building
    def build(self):
        self.say("Start parsing network model" + ("." if self.version >= (8, 5) else ""))
        model = self.read_model(self.options["--onnx"])
        if model is None:
            return False
        self.say("Finish%s parsing network model" % ("ed" if self.version >= (8, 5) else "") + ". Parse time: 0.0123")
        if self.config.get("out_of_memory"):
            self.say(
                "[TRT] 2: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory (Requested size was 8589934592 bytes.)",
                "E",
            )
            self.say("Engine could not be created from network", "E")
            self.say("Building engine failed", "E")
            return False
        if self.version >= (8, 5):
            self.say("[TRT] Graph optimization time: 0.0456 seconds.")
        cache = self.options.get("--timingCacheFile")
        if cache and os.path.exists(cache):
            self.say("Loaded %d bytes of timing cache from %s" % (os.path.getsize(cache), cache))
        self.say(
            "[TRT] %s timing cache in use. Profiling results in this builder pass will %sbe stored."
            % (("Global", "") if cache else ("Local", "not "))
        )
        if self.config.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.config.get("build_s", 0.0))
        if cache:
            with open(cache, "ab") as stream:
                stream.write(b"timed")
        typing = "strong" if self.version >= (11,) or "--stronglyTyped" in self.options else "weak"
        head = {
            "stand_in": True,
            "tensorrt": self.config["tensorrt"],
            "board": self.config["board"],
            "typing": typing,
            "flags": self.arguments,
        }
        with open(self.options["--saveEngine"], "wb") as stream:
            stream.write(json.dumps(head).encode() + b"\n" + model)
        self.say(
            "[TRT] Engine generation completed in 0.5 seconds."
            if self.version >= (8, 6)
            else "[TRT] Total Host Persistent Memory: 4096"
        )
        self.say("Engine built in 0.51 sec.")
        return True

    def read_model(self, path):
        with open(path, "rb") as stream:
            model = stream.read()
        refused = self.config.get("refused_operators")
        if refused:
            import_packages(self.config)
            import onnx

            for node in onnx.load_model_from_string(model).graph.node:
                if node.op_type in refused:
                    self.say("[TRT] onnx2trt_utils.cpp:87: No importer registered for op: %s" % node.op_type, "E")
                    self.say("Failed to parse onnx file", "E")
                    return None
        return model

    # ------------------------------------------------------------ running
    def load_and_run(self):
        with open(self.options["--loadEngine"], "rb") as stream:
            head, model = json.loads(stream.readline()), stream.read()
        if (head["tensorrt"], head["board"]) != (self.config["tensorrt"], self.config["board"]):
            self.say(
                "[TRT] 6: The engine plan file is not compatible with this version of TensorRT, expecting library version %s got %s, "
                "please rebuild." % (self.config["tensorrt"], head["tensorrt"]),
                "E",
            )
            self.say("Engine deserialization failed", "E")
            return False
        self.say("Engine loaded in 0.0123 sec.")
        self.say("Starting inference")
        if "--exportOutput" in self.options and not self.compute(model):
            return False
        warm_up_ms, duration_s = float(self.options.get("--warmUp", 200)), float(self.options.get("--duration", 3))
        if warm_up_ms == 0 and duration_s > 0:
            time.sleep(duration_s)  # a meter is read meanwhile
        self.report(warm_up_ms, duration_s)
        return True

    def compute(self, model):
        import_packages(self.config)
        import numpy as np
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        files = dict(entry.split(":", 1) for entry in self.options["--loadInputs"].split(","))
        shapes = dict(entry.split(":", 1) for entry in self.options.get("--shapes", "").split(",") if entry)
        feeds = {}
        for each in session.get_inputs():
            dtype = np.dtype({"float": "float32", "float16": "float16", "double": "float64"}.get(each.type[7:-1], each.type[7:-1]))
            stored = np.dtype("int32") if dtype == np.int64 and self.version < (10,) else dtype
            stored = np.dtype("float32") if dtype == np.float64 else stored  # as the parser declares it
            shape = [int(size) for size in shapes[each.name].split("x")] if each.name in shapes else each.shape
            raw = np.fromfile(files[each.name], stored)
            if raw.size != np.prod(shape, dtype=int):
                self.say("Expected input buffer size doesn't match the file's for %s" % each.name, "E")
                return False
            feeds[each.name] = raw.reshape(shape).astype(dtype)
        results = session.run(None, feeds)
        entries = [
            '{ "name" : "%s"\n  , "dimensions" : "%s"\n  , "values" : [ %s ]\n  }\n'
            % (
                spec.name,
                "x".join(map(str, value.shape)),
                ", ".join("%.6g" % number for number in np.asarray(value).ravel().tolist()),
            )
            for spec, value in zip(session.get_outputs(), results)
        ]
        with open(self.options["--exportOutput"], "w") as stream:
            stream.write("[\n  " + ", ".join(entries) + "]\n")
        return True

    def report(self, warm_up_ms, duration_s):
        """Times that are made up: they grow and shrink a little, so that they are no constants."""
        base_ms = self.config.get("compute_ms", 2.0)
        transfers = self.version < (11,) or "--includeDataTransfers" in self.options
        h2d, d2h = (0.125, 0.0625) if transfers else (0.0, 0.0)
        step = base_ms + h2d + d2h
        n = max(int(self.options.get("--iterations", 10)), int(1e3 * duration_s / step))
        warm = int(warm_up_ms / step)
        rows, at = [], 0.0
        for index in range(warm + n):
            compute = base_ms * (1 + 0.01 * ((index * 7) % 5))
            if not (index < warm and self.version >= (8, 5)):  # older ones export the warm-up too
                rows.append((at, h2d, compute, d2h))
            at = at + h2d + compute + d2h if index != warm - 1 else max(warm_up_ms, at + step)
        if "--exportTimes" in self.options:
            self.export_times(rows)
        if "--exportProfile" in self.options:
            self.export_profile(n, base_ms)
        timed = rows[-n:]
        self.say("Warmup completed %d queries over %g ms" % (warm, warm_up_ms))
        self.say("Timing trace has %d queries over %g s" % (n, n * step / 1e3))
        self.say("")
        self.say("=== Trace details ===")
        self.say("=== Performance summary ===")
        self.say("Throughput: %g qps" % (1e3 / step))
        named = [("Latency", [sum(row[1:]) for row in timed])]
        if self.version < (8, 4):
            named.append(("End-to-End Host Latency", [sum(row[1:]) + 0.1 for row in timed]))
        named += [
            ("Enqueue Time", [0.05] * n),
            ("H2D Latency", [row[1] for row in timed]),
            ("GPU Compute Time", [row[2] for row in timed]),
            ("D2H Latency", [row[3] for row in timed]),
        ]
        for name, values in named:
            self.say("%s: %s" % (name, self.statistics(values)))

    def statistics(self, values):
        ordered = sorted(values)
        at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
        text = "min = %g ms, max = %g ms, mean = %g ms, median = %g ms" % (
            ordered[0],
            ordered[-1],
            sum(values) / len(values),
            at(0.5),
        )
        shares = (99,) if self.version < (8, 5) else (90, 95, 99)
        return text + "".join(", percentile(%d%%) = %g ms" % (share, at(share / 100)) for share in shares)

    def export_times(self, rows):
        lines = []
        for at, h2d, compute, d2h in rows:
            latency = h2d + compute + d2h
            fields = {
                "startEnqMs": at,
                "endEnqMs": at + 0.05,
                "startH2dMs": at,
                "endH2dMs": at + h2d,
                "startComputeMs": at + h2d,
                "endComputeMs": at + h2d + compute,
                "startD2hMs": at + h2d + compute,
                "endD2hMs": at + latency,
                "h2dMs": h2d,
                "computeMs": compute,
                "d2hMs": d2h,
                "latencyMs": latency,
            }
            if self.version < (8, 4):
                fields["endToEndMs"] = latency + 0.1
            lines.append("{ " + ", ".join('"%s" : %g' % item for item in fields.items()) + " }")
        with open(self.options["--exportTimes"], "w") as stream:
            stream.write("[\n  " + "\n, ".join(lines) + "\n]\n")

    def export_profile(self, n, base_ms):
        """Two layers, one with a name as TensorRT gives them, whose quotes are not escaped."""
        lines = ['  { "count" : %d }' % n]
        for name, share in (
            ('{ForeignNode["/conv/Conv"...(Unnamed Layer* 3) [Shuffle]]}', 0.75),
            ("Reformatting CopyNode for Input Tensor 0", 0.25),
        ):
            total = share * base_ms * n
            median = ', "medianMs" : %g' % (share * base_ms) if self.version >= (8, 5) else ""
            lines.append(
                ', { "name" : "%s", "timeMs" : %g, "averageMs" : %g%s, "percentage" : %g }'
                % (name, total, total / n, median, 100 * share)
            )
        with open(self.options["--exportProfile"], "w") as stream:
            stream.write("[\n" + "\n".join(lines) + "\n]\n")


def import_packages(config):
    sys.path += [path for path in config["packages"] if path not in sys.path]


if __name__ == "__main__":
    with open(sys.argv[2]) as stream:
        config = json.load(stream)
    sys.exit(Trtexec(config, sys.argv[3:]).main())
