import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Takes arrays into the runtime's memory and back: what lies there, and what comes out of other memory. */
public final class Slots {
    private Slots() {
    }

    public static void main(String[] arguments) throws IOException {
        try (DataInputStream in = new DataInputStream(new FileInputStream(new File(arguments[0])));
                DataOutputStream out = new DataOutputStream(new FileOutputStream(new File(arguments[1])))) {
            int count = in.readInt();
            for (int slot = 0; slot < count; slot++) {
                run(in, out);
            }
        }
    }

    private static void run(DataInputStream in, DataOutputStream out) throws IOException {
        String dtype = in.readUTF();
        TensorSlot.Element element = TensorSlot.Element.valueOf(in.readUTF());
        int[] stored = ints(in);
        int[] permutation = ints(in);
        double scale = in.readDouble();
        TensorSlot slot = new TensorSlot("x", element, stored, permutation.length == 0 ? null : permutation, scale, in.readInt());
        int[] shape = ints(in);
        byte[] data = new byte[in.readInt()];
        in.readFully(data);
        ByteBuffer values = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        TensorSlot.Value value = store(slot, dtype, values, shape);
        write(out, value.data);
        write(out, restored(slot, dtype, value));
    }

    private static TensorSlot.Value store(TensorSlot slot, String dtype, ByteBuffer values, int[] shape) {
        switch (dtype) {
            case "float32":
                float[] floats = new float[values.remaining() / 4];
                values.asFloatBuffer().get(floats);
                return slot.value(floats, shape);
            case "float64":
                double[] doubles = new double[values.remaining() / 8];
                values.asDoubleBuffer().get(doubles);
                return slot.value(doubles, shape);
            case "int16":
                short[] shorts = new short[values.remaining() / 2];
                values.asShortBuffer().get(shorts);
                return slot.value(shorts, shape);
            case "int32":
                int[] ints = new int[values.remaining() / 4];
                values.asIntBuffer().get(ints);
                return slot.value(ints, shape);
            case "int64":
                long[] longs = new long[values.remaining() / 8];
                values.asLongBuffer().get(longs);
                return slot.value(longs, shape);
            case "bool":
                boolean[] truths = new boolean[values.remaining()];
                for (int i = 0; i < truths.length; i++) {
                    truths[i] = values.get(i) != 0;
                }
                return slot.value(truths, shape);
            default:
                return slot.value(values.array(), shape);
        }
    }

    private static ByteBuffer restored(TensorSlot slot, String dtype, TensorSlot.Value value) {
        ByteBuffer bytes;
        switch (dtype) {
            case "float32":
                float[] floats = slot.floats(value);
                bytes = room(floats.length * 4);
                bytes.asFloatBuffer().put(floats);
                return bytes;
            case "float64":
                double[] doubles = slot.doubles(value);
                bytes = room(doubles.length * 8);
                bytes.asDoubleBuffer().put(doubles);
                return bytes;
            case "int16":
                short[] shorts = slot.shorts(value);
                bytes = room(shorts.length * 2);
                bytes.asShortBuffer().put(shorts);
                return bytes;
            case "int32":
                int[] ints = slot.ints(value);
                bytes = room(ints.length * 4);
                bytes.asIntBuffer().put(ints);
                return bytes;
            case "int64":
                long[] longs = slot.longs(value);
                bytes = room(longs.length * 8);
                bytes.asLongBuffer().put(longs);
                return bytes;
            case "bool":
                boolean[] truths = slot.booleans(value);
                bytes = room(truths.length);
                for (boolean truth : truths) {
                    bytes.put((byte) (truth ? 1 : 0));
                }
                bytes.rewind();
                return bytes;
            default:
                return ByteBuffer.wrap(slot.bytes(value));
        }
    }

    private static ByteBuffer room(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void write(DataOutputStream out, ByteBuffer data) throws IOException {
        byte[] bytes = new byte[data.capacity()];
        ByteBuffer whole = data.duplicate();
        whole.clear();
        whole.get(bytes);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static int[] ints(DataInputStream in) throws IOException {
        int[] values = new int[in.readInt()];
        for (int i = 0; i < values.length; i++) {
            values[i] = in.readInt();
        }
        return values;
    }
}
