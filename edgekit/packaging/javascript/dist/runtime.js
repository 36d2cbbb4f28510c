/** What a runtime has to do for a package: take tensors by the packaged file's names, give tensors by its names. */
export {};
