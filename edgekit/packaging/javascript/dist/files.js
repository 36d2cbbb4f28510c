/** The files of a package for the web, and how they are loaded. */
/**
 * The bytes of a file of the package. What is fetched is compared with the hash in the package; another file is refused.
 *
 * @throws TypeError when it cannot be fetched or is not the packaged file.
 */
export async function fetchBytes(file, instead) {
    if (instead instanceof ArrayBuffer)
        return instead;
    if (instead instanceof Uint8Array)
        return new Uint8Array(instead).buffer;
    const url = instead ?? file.url;
    const response = await fetch(url, { integrity: file.integrity });
    if (!response.ok)
        throw new TypeError(`${url} could not be fetched: ${response.status} ${response.statusText}`);
    return response.arrayBuffer();
}
