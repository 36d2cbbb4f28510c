package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;

/** A file within a larger one, as an asset lies within an APK. */
public class AssetFileDescriptor implements Closeable {
    private static final int OFFSET = 4096;
    private final RandomAccessFile file;
    private final long length;

    AssetFileDescriptor(Path path) throws IOException {
        byte[] content = Files.readAllBytes(path);
        Path apk = Files.createTempFile("apk", ".zip");
        apk.toFile().deleteOnExit();
        byte[] larger = new byte[OFFSET + content.length + 100];
        System.arraycopy(content, 0, larger, OFFSET, content.length);
        Files.write(apk, larger);
        file = new RandomAccessFile(apk.toFile(), "r");
        length = content.length;
    }

    public FileDescriptor getFileDescriptor() {
        try {
            return file.getFD();
        } catch (IOException problem) {
            throw new IllegalStateException(problem);
        }
    }

    public long getStartOffset() {
        return OFFSET;
    }

    public long getDeclaredLength() {
        return length;
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
