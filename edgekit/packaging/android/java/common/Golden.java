package edgekit.template;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The stored golden pair: a synthetic input, and what the model made of it where it was judged. */
final class Golden {
    private final ByteBuffer data;

    Golden(ByteBuffer data) {
        this.data = data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    float[] floats(int offsetBytes, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.getFloat(offsetBytes + i * 4);
        }
        return values;
    }

    double[] doubles(int offsetBytes, int count) {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.getDouble(offsetBytes + i * 8);
        }
        return values;
    }

    byte[] bytes(int offsetBytes, int count) {
        byte[] values = new byte[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.get(offsetBytes + i);
        }
        return values;
    }

    short[] shorts(int offsetBytes, int count) {
        short[] values = new short[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.getShort(offsetBytes + i * 2);
        }
        return values;
    }

    int[] ints(int offsetBytes, int count) {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.getInt(offsetBytes + i * 4);
        }
        return values;
    }

    long[] longs(int offsetBytes, int count) {
        long[] values = new long[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.getLong(offsetBytes + i * 8);
        }
        return values;
    }

    boolean[] booleans(int offsetBytes, int count) {
        boolean[] values = new boolean[count];
        for (int i = 0; i < count; i++) {
            values[i] = data.get(offsetBytes + i) != 0;
        }
        return values;
    }

    /**
     * How far {@code found} lies from {@code expected}, as a fraction of the largest magnitude that was expected.
     *
     * @throws IllegalStateException over {@code tolerance}, not a number, or another length
     */
    static double difference(String name, Object found, Object expected, double tolerance) {
        int count = java.lang.reflect.Array.getLength(expected);
        if (java.lang.reflect.Array.getLength(found) != count) {
            throw new IllegalStateException(name + " has " + java.lang.reflect.Array.getLength(found) + " numbers, not " + count);
        }
        double largest = 1e-12;
        double furthest = 0;
        for (int i = 0; i < count; i++) {
            double want = number(expected, i);
            double have = number(found, i);
            double apart = Double.compare(have, want) == 0 ? 0 : Math.abs(have - want);
            furthest = Math.max(furthest, Double.isNaN(apart) ? Double.POSITIVE_INFINITY : apart);
            if (!Double.isNaN(want) && !Double.isInfinite(want)) {
                largest = Math.max(largest, Math.abs(want));
            }
        }
        double difference = furthest / largest;
        if (!(difference <= tolerance)) {
            throw new IllegalStateException(name + " lies " + difference + " of its largest value from what was measured; "
                    + tolerance + " is allowed");
        }
        return difference;
    }

    /** Bytes as the numbers from 0 to 255 that they stand for. */
    static int[] unsigned(byte[] bytes) {
        int[] numbers = new int[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            numbers[i] = bytes[i] & 0xff;
        }
        return numbers;
    }

    private static double number(Object array, int index) {
        if (array instanceof boolean[]) {
            return ((boolean[]) array)[index] ? 1 : 0;
        }
        return java.lang.reflect.Array.getDouble(array, index);
    }

    /** The sha256 of what lies in {@code bytes}, in lower-case hexadecimal digits. */
    static String sha256(ByteBuffer bytes) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(bytes.duplicate());
            StringBuilder text = new StringBuilder();
            for (byte part : digest.digest()) {
                text.append(Character.forDigit(part >> 4 & 15, 16)).append(Character.forDigit(part & 15, 16));
            }
            return text.toString();
        } catch (NoSuchAlgorithmException problem) {
            throw new IllegalStateException("every Java has SHA-256", problem);
        }
    }
}
