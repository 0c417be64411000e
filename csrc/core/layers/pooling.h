/* pooling.h - max pooling of images while they are in cache, for the layer before it. */
#ifndef PN_POOLING_H
#define PN_POOLING_H
#include "../graph/builder.h"

typedef struct pn_pooling pn_pooling;
/* How this node pools images that stand as its layout says, or NULL: it is no max pooling, works on
 * blocks of planes, or memory is short. */
const pn_pooling *pn_pooling_of_images(pn_builder *b, size_t node);
/* One image. index: as many elements as y, or NULL; the way back writes all of gx. s lends its
 * kernels. */
void pn_pool_maxima(const pn_pooling *v, const pn_step *s, const void *x, void *y, void *index);
/* The same of planes so far apart whose rows are ldx apart, where it works on those. */
int pn_pool_takes_planes(const pn_pooling *v);
void pn_pool_planes(const pn_pooling *v, const pn_step *s, const void *x, size_t ldx, size_t apart,
                    void *y, void *index);
void pn_pool_maxima_back(const pn_pooling *v, const pn_step *s, const void *index, const void *gy,
                         void *gx);

#endif
