import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Runs the preprocessing on every vector of a file and writes what it makes of them. */
public final class GoldenVectors {
    private GoldenVectors() {
    }

    public static void main(String[] arguments) throws IOException {
        try (DataInputStream in = new DataInputStream(new FileInputStream(new File(arguments[0])));
                DataOutputStream out = new DataOutputStream(new FileOutputStream(new File(arguments[1])))) {
            int count = in.readInt();
            for (int vector = 0; vector < count; vector++) {
                run(in, out);
            }
        }
    }

    private static void run(DataInputStream in, DataOutputStream out) throws IOException {
        int height = in.readInt();
        int width = in.readInt();
        int orientation = in.readInt();
        byte[] rgb = new byte[in.readInt()];
        in.readFully(rgb);
        int[] argb = new int[height * width];
        for (int i = 0; i < argb.length; i++) {
            // an alpha that differs from pixel to pixel must change nothing
            argb[i] = i * 37 << 24 | (rgb[3 * i] & 255) << 16 | (rgb[3 * i + 1] & 255) << 8 | rgb[3 * i + 2] & 255;
        }
        Preprocess preprocess = new Preprocess(in.readInt(), in.readInt(), Preprocess.Color.valueOf(in.readUTF()), in.readInt() != 0,
                Preprocess.Crop.valueOf(in.readUTF()), in.readInt(), Preprocess.Filter.valueOf(in.readUTF()), in.readInt() != 0,
                in.readInt() != 0, doubles(in), doubles(in), in.readInt() != 0);
        if (in.readInt() != 0) {
            byte[] values = preprocess.bytes(argb, height, width, orientation);
            out.writeInt(values.length);
            out.write(values);
        } else {
            float[] values = preprocess.floats(argb, height, width, orientation);
            ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(values);
            out.writeInt(values.length * 4);
            out.write(bytes.array());
        }
    }

    private static double[] doubles(DataInputStream in) throws IOException {
        double[] values = new double[in.readInt()];
        for (int i = 0; i < values.length; i++) {
            values[i] = in.readDouble();
        }
        return values;
    }
}
