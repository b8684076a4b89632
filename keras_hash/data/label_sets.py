"""Label sets that protocols name: labels of NUS-WIDE, MIRFLICKR, ImageNet."""


def _names(text):
    return tuple(text.split())


# All concepts of NUS-WIDE, in the order of the publisher's Concepts81.txt.
NUS81 = _names(
    """
    airport animal beach bear birds boats book bridge buildings cars castle cat
    cityscape clouds computer coral cow dancing dog earthquake elk fire fish
    flags flowers food fox frost garden glacier grass harbor horses house lake
    leaf map military moon mountain nighttime ocean person plane plants police
    protest railroad rainbow reflection road rocks running sand sign sky snow
    soccer sports statue street sun sunset surf swimmers tattoo temple tiger
    tower town toy train tree valley vehicle water waterfall wedding whales
    window zebra
    """
)

# The 21 most frequent of them; each has more than 5,000 images.
NUS21 = _names(
    """
    animal beach buildings clouds flowers grass lake mountain ocean person
    plants reflection road rocks sky snow sunset tree vehicle water window
    """
)

# The potential labels of MIRFLICKR-25K: the concept can be seen.
MIR24 = _names(
    """
    animals baby bird car clouds dog female flower food indoor lake male night
    people plant_life portrait river sea sky structures sunset transport tree
    water
    """
)

# With the relevant ones, `_r1`: the concept is salient.
MIR38 = tuple(
    sorted(
        MIR24
        + _names(
            """
            baby_r1 bird_r1 car_r1 clouds_r1 dog_r1 female_r1 flower_r1 male_r1
            night_r1 people_r1 portrait_r1 river_r1 sea_r1 tree_r1
            """
        )
    )
)

# The classes of HashNet's ImageNet lists (Cao et al. 2017), in their order.
IMAGENET100 = _names(
    """
    n01514668 n01537544 n01560419 n01629819 n01632458 n01664065 n01685808
    n01687978 n01698640 n01729322 n01774750 n01797886 n01819313 n01828970
    n01944390 n01986214 n02017213 n02018207 n02077923 n02088466 n02093256
    n02094114 n02096177 n02096294 n02097209 n02098105 n02102177 n02105162
    n02106550 n02111129 n02111277 n02113023 n02128385 n02256656 n02281787
    n02346627 n02391049 n02408429 n02415577 n02454379 n02488291 n02526121
    n02655020 n02834397 n02840245 n02841315 n02865351 n02871525 n02895154
    n02939185 n02948072 n02965783 n02992211 n03018349 n03045698 n03047690
    n03196217 n03223299 n03272562 n03291819 n03345487 n03445924 n03483316
    n03584829 n03680355 n03690938 n03733131 n03743016 n03803284 n03814639
    n03838899 n03857828 n03891332 n03895866 n03899768 n03902125 n03944341
    n04026417 n04153751 n04201297 n04238763 n04254120 n04344873 n04350905
    n04366367 n04404412 n04417672 n04435653 n04486054 n04548362 n04560804
    n04579432 n04596742 n07583066 n07584110 n07753113 n07754684 n07836838
    n12057211 n13044778
    """
)
