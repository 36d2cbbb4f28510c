package ai.onnxruntime;

import bridge.Bridge;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;

/** A tensor in the byte order of the machine. As in ONNX Runtime, only as many values as the shape has are taken. */
public class OnnxTensor extends OnnxTensorLike {
    public static int open;
    final String dtype;
    final ByteBuffer data;

    OnnxTensor(String dtype, ByteBuffer data, long[] shape) {
        super(new TensorInfo(shape));
        this.dtype = dtype;
        this.data = data;
        open++;
    }

    private static OnnxTensor create(String dtype, Buffer given, ByteBuffer data, long[] shape) throws OrtException {
        long count = 1;
        for (long size : shape) {
            count *= size;
        }
        if (!given.isDirect() || given.remaining() != count) {
            throw new OrtException("Shape does not match the " + given.remaining() + " values, or they are not direct");
        }
        return new OnnxTensor(dtype, data, shape);
    }

    private static ByteBuffer room(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ByteBuffer data, long[] shape, OnnxJavaType type) throws OrtException {
        ByteBuffer copy = room(data.remaining());
        copy.put(data.duplicate());
        copy.clear();
        return create(type == OnnxJavaType.UINT8 ? "uint8" : type == OnnxJavaType.BOOL ? "bool" : "int8", data, copy, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
        ByteBuffer copy = room(data.remaining() * 4);
        copy.asFloatBuffer().put(data.duplicate());
        return create("float32", data, copy, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, DoubleBuffer data, long[] shape) throws OrtException {
        ByteBuffer copy = room(data.remaining() * 8);
        copy.asDoubleBuffer().put(data.duplicate());
        return create("float64", data, copy, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ShortBuffer data, long[] shape) throws OrtException {
        ByteBuffer copy = room(data.remaining() * 2);
        copy.asShortBuffer().put(data.duplicate());
        return create("int16", data, copy, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, IntBuffer data, long[] shape) throws OrtException {
        ByteBuffer copy = room(data.remaining() * 4);
        copy.asIntBuffer().put(data.duplicate());
        return create("int32", data, copy, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException {
        ByteBuffer copy = room(data.remaining() * 8);
        copy.asLongBuffer().put(data.duplicate());
        return create("int64", data, copy, shape);
    }

    Bridge.Tensor bridged() {
        int[] shape = new int[info.getShape().length];
        for (int axis = 0; axis < shape.length; axis++) {
            shape[axis] = (int) info.getShape()[axis];
        }
        return new Bridge.Tensor(dtype, shape, Bridge.bytes(data));
    }

    public ByteBuffer getByteBuffer() {
        ByteBuffer copy = ByteBuffer.allocate(data.capacity()); // big-endian, as Java makes it
        ByteBuffer whole = data.duplicate();
        whole.clear();
        copy.put(whole);
        copy.rewind();
        return copy;
    }

    @Override
    public void close() {
        open--;
    }
}
