package android.content.res;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Assets in a folder. Where they are compressed, they have no file descriptor, as on a phone. */
public final class AssetManager {
    public static int opened;
    private final Path folder;
    private final boolean compressed;

    public AssetManager(Path folder, boolean compressed) {
        this.folder = folder;
        this.compressed = compressed;
    }

    public InputStream open(String fileName) throws IOException {
        opened++;
        return Files.newInputStream(folder.resolve(fileName));
    }

    public AssetFileDescriptor openFd(String fileName) throws IOException {
        if (compressed) {
            throw new FileNotFoundException("This file can not be opened as a file descriptor; it is probably compressed");
        }
        return new AssetFileDescriptor(folder.resolve(fileName));
    }
}
