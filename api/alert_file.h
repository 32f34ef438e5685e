/* api/alert_file.h -- files of alerts, written by a thread of their own: a disk
 * that is slow holds up nobody. */
#ifndef API_ALERT_FILE_H
#define API_ALERT_FILE_H 1

#include <stddef.h>
#include <stdio.h>

struct alert_files;                                     /* Opaque. */

enum alert_file { ALERT_FILE_ALERTS, ALERT_FILE_LEARNED, N_ALERT_FILES };

/* 'dir' is made by somebody else.  'fill' writes what was learned, on the
 * thread; 0 or a negative errno.  NULL if out of memory. */
struct alert_files *alert_files_create(const char *dir,
                                       int (*fill)(void *aux, FILE *),
                                       void *aux);
/* What was put is written before.  NULL is fine. */
void alert_files_destroy(struct alert_files *);

/* The file is to be this text (taken over); it replaces one that was put before
 * and is not yet written. */
void alert_files_put(struct alert_files *, char *text, size_t size);
/* The same at once; 0, or a negative errno: then it will be tried again. */
int alert_files_write(struct alert_files *, char *text, size_t size);
/* What was learned is to be written. */
void alert_files_learned(struct alert_files *);

/* Where it is: STATE/alerts/alerts.json, learned. */
const char *alert_files_path(const struct alert_files *, enum alert_file);

#endif /* api/alert_file.h */
