/* references.h - references in three types: f_f32 in double for floats, f_f64 in long double for doubles, f_quad for doubtful inputs. */
#define T                  double
#define TYPE               f32
#define C(c)               c
#define F(f)               f
#define LIMIT              500.0
#define FAR                26.0
#define ERROR_OF_INPUTS(v) 0
#include "reference.h"
#define T                  long double
#define TYPE               f64
#define C(c)               c##L
#define F(f)               f##l
#define LIMIT              6000.0L
#define FAR                90.0L
#define ERROR_OF_INPUTS(v) F(fabs)(v)
#include "reference.h"
#define T                  __float128
#define TYPE               quad
#define C(c)               c##Q
#define F(f)               f##q
#define LIMIT              6000.0Q
#define FAR                90.0Q
#define ERROR_OF_INPUTS(v) 0
#include "reference.h"
