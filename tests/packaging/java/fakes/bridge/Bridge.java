package bridge;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A process of Python that runs the model with the real runtime; see bridge.py. */
public final class Bridge implements AutoCloseable {
    public static final class Tensor {
        public final String dtype;
        public final int[] shape;
        public final byte[] data;

        public Tensor(String dtype, int[] shape, byte[] data) {
            this.dtype = dtype;
            this.shape = shape;
            this.data = data;
        }
    }

    /** How the last bridge was started: what the wrapper asked the runtime for. */
    public static List<String> started = new ArrayList<>();

    /** What the runtime says of the model, as JSON. */
    public final String facts;
    private final Process process;
    private final DataOutputStream requests;
    private final DataInputStream answers;

    public Bridge(String kind, ByteBuffer model, int threads, List<String> options) {
        if (!model.isDirect()) {
            throw new IllegalArgumentException("the model's memory must be direct");
        }
        try {
            byte[] bytes = new byte[model.remaining()];
            model.duplicate().get(bytes);
            Path path = Files.createTempFile("model", "." + kind);
            path.toFile().deleteOnExit();
            Files.write(path, bytes);
            List<String> command = new ArrayList<>(Arrays.asList(System.getProperty("bridge.python"), System.getProperty("bridge.script"),
                    kind, path.toString(), String.valueOf(threads)));
            command.addAll(options);
            started = new ArrayList<>(command.subList(4, command.size()));
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            requests = new DataOutputStream(new java.io.BufferedOutputStream(process.getOutputStream()));
            answers = new DataInputStream(process.getInputStream());
            StringBuilder line = new StringBuilder();
            for (int c = answers.readUnsignedByte(); c != '\n'; c = answers.readUnsignedByte()) {
                line.append((char) c);
            }
            facts = line.toString();
        } catch (IOException problem) {
            throw new IllegalStateException("the bridge does not start", problem);
        }
    }

    public Map<String, Tensor> run(Map<String, Tensor> inputs) {
        try {
            requests.writeInt(inputs.size());
            for (Map.Entry<String, Tensor> input : inputs.entrySet()) {
                requests.writeUTF(input.getKey());
                requests.writeUTF(input.getValue().dtype);
                requests.writeInt(input.getValue().shape.length);
                for (int size : input.getValue().shape) {
                    requests.writeInt(size);
                }
                requests.writeInt(input.getValue().data.length);
                requests.write(input.getValue().data);
            }
            requests.flush();
            Map<String, Tensor> outputs = new LinkedHashMap<>();
            int count = answers.readInt();
            for (int i = 0; i < count; i++) {
                String name = answers.readUTF();
                String dtype = answers.readUTF();
                int[] shape = new int[answers.readInt()];
                for (int axis = 0; axis < shape.length; axis++) {
                    shape[axis] = answers.readInt();
                }
                byte[] data = new byte[answers.readInt()];
                answers.readFully(data);
                outputs.put(name, new Tensor(dtype, shape, data));
            }
            return outputs;
        } catch (IOException problem) {
            throw new IllegalStateException("the bridge broke", problem);
        }
    }

    /** The bytes of a buffer that a runtime would read in place. */
    public static byte[] bytes(ByteBuffer data) {
        if (!data.isDirect() || data.position() != 0) {
            throw new IllegalArgumentException("a runtime reads direct memory from its beginning");
        }
        byte[] bytes = new byte[data.capacity()];
        ByteBuffer copy = data.duplicate();
        copy.clear();
        copy.get(bytes);
        return bytes;
    }

    @Override
    public void close() {
        try {
            requests.close();
            process.waitFor();
        } catch (IOException | InterruptedException problem) {
            process.destroy();
        }
    }
}
