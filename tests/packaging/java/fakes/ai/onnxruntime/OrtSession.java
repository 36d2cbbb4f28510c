package ai.onnxruntime;

import bridge.Bridge;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** ONNX Runtime's session, which answers from Python. */
public class OrtSession implements AutoCloseable {
    private final Bridge bridge;

    OrtSession(ByteBuffer model, SessionOptions options) {
        bridge = new Bridge("onnx", model, options.threads, options.entries);
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Set<String> requestedOutputs) throws OrtException {
        Map<String, Bridge.Tensor> given = new LinkedHashMap<>();
        for (Map.Entry<String, ? extends OnnxTensorLike> input : inputs.entrySet()) {
            given.put(input.getKey(), ((OnnxTensor) input.getValue()).bridged());
        }
        Map<String, OnnxValue> found = new LinkedHashMap<>();
        for (Map.Entry<String, Bridge.Tensor> output : bridge.run(given).entrySet()) {
            if (requestedOutputs.contains(output.getKey())) {
                Bridge.Tensor tensor = output.getValue();
                long[] shape = new long[tensor.shape.length];
                for (int axis = 0; axis < shape.length; axis++) {
                    shape[axis] = tensor.shape[axis];
                }
                ByteBuffer data = ByteBuffer.allocateDirect(tensor.data.length).order(ByteOrder.nativeOrder());
                data.put(tensor.data);
                found.put(output.getKey(), new OnnxTensor(tensor.dtype, data, shape));
            }
        }
        return new Result(found);
    }

    @Override
    public void close() throws OrtException {
        bridge.close();
    }

    public static class Result implements AutoCloseable, Iterable<Map.Entry<String, OnnxValue>> {
        private final Map<String, OnnxValue> values;

        Result(Map<String, OnnxValue> values) {
            this.values = values;
        }

        @Override
        public Iterator<Map.Entry<String, OnnxValue>> iterator() {
            return values.entrySet().iterator();
        }

        @Override
        public void close() {
            for (OnnxValue value : values.values()) {
                value.close();
            }
        }
    }

    public static class SessionOptions implements AutoCloseable {
        public enum OptLevel {
            NO_OPT, BASIC_OPT, EXTENDED_OPT, ALL_OPT
        }

        private int threads;
        private final List<String> entries = new ArrayList<>();

        public void setIntraOpNumThreads(int threads) throws OrtException {
            this.threads = threads;
        }

        public void setInterOpNumThreads(int threads) throws OrtException {
            entries.add("inter_op=" + threads);
        }

        public void setOptimizationLevel(OptLevel level) throws OrtException {
            entries.add("level=" + level);
        }

        public void addConfigEntry(String key, String value) throws OrtException {
            entries.add(key + "=" + value);
        }

        @Override
        public void close() {
        }
    }
}
