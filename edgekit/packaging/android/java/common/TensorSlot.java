package edgekit.template;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** One input or output of the model: how the numbers that an app sees lie in the memory that the runtime sees, and back. */
final class TensorSlot {
    /** What the runtime stores. */
    enum Element {
        FLOAT32(4), FLOAT64(8), INT8(1), UINT8(1), INT16(2), INT32(4), INT64(8), BOOL(1);

        final int sizeBytes;

        Element(int sizeBytes) {
            this.sizeBytes = sizeBytes;
        }
    }

    /** The free size of an axis. */
    static final int FREE = -1;

    final String name;
    final Element element;
    private final int[] shape;
    private final int[] permutation;
    private final double scale;
    private final int zeroPoint;
    private int[] orderedShape;
    private int[] order;

    /**
     * @param name as the runtime knows it
     * @param shape as the runtime sees it, {@link #FREE} where the size is the caller's to choose
     * @param permutation from the axes that the app sees to the runtime's; null where they are the same
     * @param scale of quantized numbers, {@code real = scale * (stored - zeroPoint)}; 0 where they are stored as they are
     */
    TensorSlot(String name, Element element, int[] shape, int[] permutation, double scale, int zeroPoint) {
        this.name = name;
        this.element = element;
        this.shape = shape;
        this.permutation = permutation;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }

    /** Numbers in the memory that the runtime sees, and their shape there. */
    static final class Value {
        final ByteBuffer data;
        final int[] shape;

        Value(ByteBuffer data, int[] shape) {
            this.data = data;
            this.shape = shape;
        }
    }

    /** Zeroed memory of the runtime's byte order for a value of that shape. */
    Value empty(int[] storedShape) {
        int sizeBytes = Math.multiplyExact(count(storedShape), element.sizeBytes);
        return new Value(ByteBuffer.allocateDirect(sizeBytes).order(ByteOrder.nativeOrder()), storedShape);
    }

    /** Memory for a value whose shape is fixed. */
    Value empty() {
        return empty(shape);
    }

    Value value(float[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        if (scale == 0 && from == null) {
            value.data.asFloatBuffer().put(values);
            return value;
        }
        for (int position = 0; position < values.length; position++) {
            float real = values[from == null ? position : from[position]];
            if (scale == 0) {
                value.data.putFloat(position * 4, real);
            } else {
                quantize(value.data, position, real);
            }
        }
        return value;
    }

    Value value(double[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            double real = values[from == null ? position : from[position]];
            if (scale == 0) {
                value.data.putDouble(position * 8, real);
            } else {
                quantize(value.data, position, real);
            }
        }
        return value;
    }

    Value value(byte[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            value.data.put(position, values[from == null ? position : from[position]]);
        }
        return value;
    }

    Value value(short[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            value.data.putShort(position * 2, values[from == null ? position : from[position]]);
        }
        return value;
    }

    Value value(int[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            putInteger(value.data, position, values[from == null ? position : from[position]]);
        }
        return value;
    }

    Value value(long[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            putInteger(value.data, position, values[from == null ? position : from[position]]);
        }
        return value;
    }

    Value value(boolean[] values, int... givenShape) {
        Value value = empty(stored(values.length, givenShape));
        int[] from = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            value.data.put(position, (byte) (values[from == null ? position : from[position]] ? 1 : 0));
        }
        return value;
    }

    float[] floats(Value value) {
        float[] values = new float[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] =
                    scale == 0 ? value.data.getFloat(position * 4) : (float) dequantized(value.data, position);
        }
        return values;
    }

    double[] doubles(Value value) {
        double[] values = new double[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] =
                    scale == 0 ? value.data.getDouble(position * 8) : dequantized(value.data, position);
        }
        return values;
    }

    byte[] bytes(Value value) {
        byte[] values = new byte[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] = value.data.get(position);
        }
        return values;
    }

    short[] shorts(Value value) {
        short[] values = new short[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] = value.data.getShort(position * 2);
        }
        return values;
    }

    int[] ints(Value value) {
        int[] values = new int[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] = (int) integer(value.data, position);
        }
        return values;
    }

    long[] longs(Value value) {
        long[] values = new long[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] = integer(value.data, position);
        }
        return values;
    }

    boolean[] booleans(Value value) {
        boolean[] values = new boolean[count(value.shape)];
        int[] to = order(value.shape);
        for (int position = 0; position < values.length; position++) {
            values[to == null ? position : to[position]] = value.data.get(position) != 0;
        }
        return values;
    }

    /** The shape that the app sees. */
    int[] shape(Value value) {
        return seen(value.shape);
    }

    private int[] seen(int[] storedShape) {
        if (permutation == null) {
            return storedShape.clone();
        }
        int[] seen = new int[storedShape.length];
        for (int axis = 0; axis < seen.length; axis++) {
            seen[permutation[axis]] = storedShape[axis];
        }
        return seen;
    }

    /** The runtime's shape of so many values, which must be as many as the shape has. */
    private int[] stored(int length, int[] givenShape) {
        int[] found = shape;
        if (givenShape.length > 0) {
            if (givenShape.length != shape.length) {
                throw new IllegalArgumentException(name + " has " + shape.length + " axes, not " + givenShape.length);
            }
            found = new int[shape.length];
            for (int axis = 0; axis < found.length; axis++) {
                found[axis] = givenShape[permutation == null ? axis : permutation[axis]];
                if (found[axis] < 0 || shape[axis] != FREE && shape[axis] != found[axis]) {
                    throw new IllegalArgumentException(name + " is " + Arrays.toString(seen(shape)) + " (" + FREE + " is free), not "
                            + Arrays.toString(givenShape));
                }
            }
        }
        if (count(found) != length) {
            throw new IllegalArgumentException(name + " is " + Arrays.toString(seen(found)) + ": " + count(found) + " numbers, not "
                    + length);
        }
        return found;
    }

    private static int count(int[] shape) {
        int count = 1;
        for (int size : shape) {
            count = Math.multiplyExact(count, size);
        }
        return count;
    }

    /** For each of the runtime's positions the app's; null where they are the same. */
    private synchronized int[] order(int[] storedShape) {
        if (permutation == null) {
            return null;
        }
        if (!Arrays.equals(storedShape, orderedShape)) {
            order = newOrder(storedShape);
            orderedShape = storedShape.clone();
        }
        return order;
    }

    private int[] newOrder(int[] storedShape) {
        int[] seen = seen(storedShape);
        int[] strides = new int[seen.length];
        int stride = 1;
        for (int axis = seen.length - 1; axis >= 0; axis--) {
            strides[axis] = stride;
            stride *= seen[axis];
        }
        int[] positions = new int[count(storedShape)];
        int[] index = new int[storedShape.length];
        for (int position = 0; position < positions.length; position++) {
            for (int axis = 0; axis < index.length; axis++) {
                positions[position] += index[axis] * strides[permutation[axis]];
            }
            for (int axis = index.length - 1; axis >= 0 && ++index[axis] == storedShape[axis]; axis--) {
                index[axis] = 0;
            }
        }
        return positions;
    }

    private void quantize(ByteBuffer data, int position, double real) {
        double level = Math.rint(real / scale) + zeroPoint;
        switch (element) {
            case INT8:
                data.put(position, (byte) (int) Math.min(Math.max(level, -128), 127));
                break;
            case UINT8:
                data.put(position, (byte) (int) Math.min(Math.max(level, 0), 255));
                break;
            default:
                data.putShort(position * 2, (short) (int) Math.min(Math.max(level, -32768), 32767));
        }
    }

    private double dequantized(ByteBuffer data, int position) {
        int level;
        switch (element) {
            case INT8:
                level = data.get(position);
                break;
            case UINT8:
                level = data.get(position) & 0xff;
                break;
            default:
                level = data.getShort(position * 2);
        }
        return (level - (double) zeroPoint) * scale;
    }

    private void putInteger(ByteBuffer data, int position, long value) {
        if (element == Element.INT64) {
            data.putLong(position * 8, value);
        } else if (value == (int) value) {
            data.putInt(position * 4, (int) value);
        } else {
            throw new IllegalArgumentException(name + " takes numbers of 32 bits, not " + value);
        }
    }

    private long integer(ByteBuffer data, int position) {
        return element == Element.INT64 ? data.getLong(position * 8) : data.getInt(position * 4);
    }
}
