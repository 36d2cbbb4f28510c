package edgekit.template;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Runs the model in ONNX Runtime, on the CPU. */
final class Engine implements AutoCloseable {
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final TensorSlot[] inputs;
    private final TensorSlot[] outputs;

    Engine(ByteBuffer model, TensorSlot[] inputs, TensorSlot[] outputs, int threads, OrtSession.SessionOptions.OptLevel level,
            String... configuration) {
        this.inputs = inputs;
        this.outputs = outputs;
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.setOptimizationLevel(level);
            for (int i = 0; i < configuration.length; i += 2) {
                options.addConfigEntry(configuration[i], configuration[i + 1]);
            }
            session = environment.createSession(model, options);
        } catch (OrtException problem) {
            throw new IllegalStateException("ONNX Runtime does not load the model", problem);
        }
    }

    /** One inference: the outputs in the order in which they were named, for inputs in theirs. */
    TensorSlot.Value[] run(TensorSlot.Value... given) {
        Map<String, OnnxTensor> feeds = new HashMap<>();
        try {
            for (int i = 0; i < inputs.length; i++) {
                feeds.put(inputs[i].name, tensor(inputs[i], given[i]));
            }
            Map<String, Integer> wanted = new LinkedHashMap<>();
            for (int i = 0; i < outputs.length; i++) {
                wanted.put(outputs[i].name, i);
            }
            TensorSlot.Value[] results = new TensorSlot.Value[outputs.length];
            try (OrtSession.Result result = session.run(feeds, wanted.keySet())) {
                for (Map.Entry<String, OnnxValue> output : result) {
                    results[wanted.get(output.getKey())] = value((OnnxTensor) output.getValue());
                }
            }
            return results;
        } catch (OrtException problem) {
            throw new IllegalStateException("ONNX Runtime does not run the model", problem);
        } finally {
            for (OnnxTensor feed : feeds.values()) {
                feed.close();
            }
        }
    }

    private OnnxTensor tensor(TensorSlot slot, TensorSlot.Value value) throws OrtException {
        long[] shape = new long[value.shape.length];
        for (int axis = 0; axis < shape.length; axis++) {
            shape[axis] = value.shape[axis];
        }
        switch (slot.element) {
            case FLOAT32:
                return OnnxTensor.createTensor(environment, value.data.asFloatBuffer(), shape);
            case FLOAT64:
                return OnnxTensor.createTensor(environment, value.data.asDoubleBuffer(), shape);
            case INT16:
                return OnnxTensor.createTensor(environment, value.data.asShortBuffer(), shape);
            case INT32:
                return OnnxTensor.createTensor(environment, value.data.asIntBuffer(), shape);
            case INT64:
                return OnnxTensor.createTensor(environment, value.data.asLongBuffer(), shape);
            case UINT8:
                return OnnxTensor.createTensor(environment, value.data, shape, OnnxJavaType.UINT8);
            case BOOL:
                return OnnxTensor.createTensor(environment, value.data, shape, OnnxJavaType.BOOL);
            default:
                return OnnxTensor.createTensor(environment, value.data, shape, OnnxJavaType.INT8);
        }
    }

    private static TensorSlot.Value value(OnnxTensor tensor) {
        long[] longShape = tensor.getInfo().getShape();
        int[] shape = new int[longShape.length];
        for (int axis = 0; axis < shape.length; axis++) {
            shape[axis] = (int) longShape[axis];
        }
        return new TensorSlot.Value(tensor.getByteBuffer().order(ByteOrder.nativeOrder()), shape);
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException problem) {
            throw new IllegalStateException("ONNX Runtime does not close the session", problem);
        }
    }
}
