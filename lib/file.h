/* lib/file.h -- what several parts do with files. */
#ifndef LIB_FILE_H
#define LIB_FILE_H 1

/* Waits until the names in a directory are on disk: what was created, renamed
 * or removed there outlasts a power failure.  Returns 0 or a negative errno. */
int file_sync_dir(const char *dir);

#endif /* lib/file.h */
