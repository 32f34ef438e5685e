#ifndef BGP_BMP_MESSAGE_H
#define BGP_BMP_MESSAGE_H 1
#endif
