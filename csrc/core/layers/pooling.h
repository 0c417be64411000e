/* pooling.h - max pooling of images while they are in cache, for the preceding layer. */
#ifndef PN_POOLING_H
#define PN_POOLING_H
#include "../graph/builder.h"

typedef struct pn_pooling pn_pooling;
/* Returns how this node pools images in its layout. NULL if it is not max pooling, processes blocks
 * of planes, or memory is short. */
const pn_pooling *pn_pooling_of_images(pn_builder *b, size_t node);
/* Pools one image. index: as many elements as y, or NULL. The backward function overwrites all of
 * gx. s provides the kernels. */
void pn_pool_maxima(const pn_pooling *v, const pn_step *s, const void *x, void *y, void *index);
/* The same for planes at a given distance whose rows are ldx elements apart, if it processes
 * planes. */
int pn_pool_takes_planes(const pn_pooling *v);
void pn_pool_planes(const pn_pooling *v, const pn_step *s, const void *x, size_t ldx, size_t apart,
                    void *y, void *index);
void pn_pool_maxima_back(const pn_pooling *v, const pn_step *s, const void *index, const void *gy,
                         void *gx);

#endif
