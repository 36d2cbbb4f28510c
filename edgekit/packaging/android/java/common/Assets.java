package edgekit.template;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** Reads what the package has brought into the app's assets. */
final class Assets {
    private Assets() {
    }

    /**
     * A file's bytes in memory that a runtime reads in place. One that is stored uncompressed in the APK is mapped: nothing is copied,
     * and the system may drop its pages. A compressed one is read.
     */
    static ByteBuffer map(AssetManager assets, String path, int sizeBytes) throws IOException {
        ByteBuffer data = mapped(assets, path);
        if (data == null) {
            data = read(assets, path, sizeBytes);
        }
        if (data.remaining() != sizeBytes) {
            throw new IOException(path + " has " + data.remaining() + " bytes, not " + sizeBytes);
        }
        return data.order(ByteOrder.nativeOrder());
    }

    private static ByteBuffer mapped(AssetManager assets, String path) throws IOException {
        AssetFileDescriptor descriptor;
        try {
            descriptor = assets.openFd(path);
        } catch (IOException compressed) {
            return null; // if it is not there at all, reading it says so
        }
        try (FileInputStream stream = new FileInputStream(descriptor.getFileDescriptor())) {
            long length = descriptor.getDeclaredLength();
            return stream.getChannel().map(FileChannel.MapMode.READ_ONLY, descriptor.getStartOffset(), length);
        } finally {
            descriptor.close();
        }
    }

    private static ByteBuffer read(AssetManager assets, String path, int sizeBytes) throws IOException {
        ByteBuffer data = ByteBuffer.allocateDirect(sizeBytes);
        byte[] piece = new byte[1 << 16];
        try (InputStream stream = assets.open(path)) {
            for (int n = stream.read(piece); n >= 0; n = stream.read(piece)) {
                if (n > data.remaining()) {
                    throw new IOException(path + " has more than " + sizeBytes + " bytes");
                }
                data.put(piece, 0, n);
            }
        }
        if (data.hasRemaining()) {
            throw new EOFException(path + " ends " + data.remaining() + " bytes early");
        }
        data.flip();
        return data;
    }

    /** The lines of a UTF-8 text. */
    static List<String> lines(AssetManager assets, String path) throws IOException {
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        byte[] piece = new byte[1 << 13];
        try (InputStream stream = assets.open(path)) {
            for (int n = stream.read(piece); n >= 0; n = stream.read(piece)) {
                data.write(piece, 0, n);
            }
        }
        String text = new String(data.toByteArray(), Charset.forName("UTF-8"));
        return Collections.unmodifiableList(new ArrayList<>(Arrays.asList(text.split("\n"))));
    }
}
