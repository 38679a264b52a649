"""What to see in each figure and table of the catalogue. No result is stated that another run could refute."""

CAPTIONS = {
    "framework": (
        "Training: the student learns the teacher's classes and, from the same features, whether the teacher is "
        "right. Where it is not, the target is flattened."
    ),
    "inference": (
        "Use: the student sees every clip, the teacher only the K that the student trusts it with; of those, the "
        "student can keep some for itself."
    ),
    "table_1_1": "Data sets of the thesis (its Table 1.1), and the one used here.",
    "teacher_training": (
        "The teacher and the student's start while they learn the classes. What counts is how they do on other "
        "videos, below."
    ),
    "teacher_confidence": (
        "The teacher's largest probability where it is right (up) and wrong (down). Bars far right and down are "
        "confident errors."
    ),
    "label_shares": (
        "How often the teacher is wrong, by split and by what it shows. The dotted line is the mean of all "
        "clips; kinds well above it are in orange."
    ),
    "oracle": (
        "What a perfect choice of clips could win: the oracle ranks clips by the probability of the true class, "
        "which no sampler knows."
    ),
    "accuracy_vs_k": (
        "Accuracy as the teacher sees more clips; a point is as high in all panels. A band that leaves the line of "
        "dense means a significant difference."
    ),
    "comparisons": (
        "Paired differences to dense and to ConDi-SR in points; a star where one remains after Holm's correction."
    ),
    "groups": "Gain over dense in groups of videos, a panel a loss. Right of the line choosing helps.",
    "class_gains": "ConDi-SR's gain over dense class by class: choosing helps some and can hurt others.",
    "helped_and_hurt": (
        "Videos that only ConDi-SR gets right, against those that only dense gets right. A small gain can hide many "
        "of both; the black mark is what remains."
    ),
    "division": "What happens when the student classifies some of the K clips itself: accuracy above, cost below.",
    "detection": "Each sampler as a detector of the teacher being right: rates of error, areas, calibration.",
    "error_rates": (
        "Both ways to be wrong about a clip. A sampler can trade one for the other by its threshold: compare filled "
        "with filled marks."
    ),
    "roc": (
        "All thresholds at once; below, the area with its interval, best first. On the dotted line a score says "
        "nothing."
    ),
    "precision_recall": "Of the clips taken first, how many are right; below, the mean with its interval, best first.",
    "risk_coverage": (
        "The teacher's error if it answers only the clips that a sampler trusts most; below, the area with its "
        "interval, best first."
    ),
    "reliability": (
        "Whether a confidence means what it says: below the diagonal a sampler is too sure. Temperature scaling on "
        "the validation split mends what is merely too sharp."
    ),
    "confidence": "Scores where the teacher is right (up) and wrong (down). A good detector keeps the two apart.",
    "confidence_by_kind": (
        "Where each kind of clip stands in the samplers' rankings. What stands beside the clean clips, though the "
        "teacher is wrong on it, is what choosing falls for."
    ),
    "example": (
        "One video: its clips, how sure the teacher is of each, right or wrong, and which a sampler takes first."
    ),
    "sure_videos": (
        "Predictions of videos with one clip for the teacher: below the diagonal they are too sure; in the middle, how "
        "often the surest are wrong. Right: another clip only where the prediction is not sure, or K for all."
    ),
    "cost": (
        "Accuracy against multiply-adds: up and to the left is better. Ringed points are those that nothing beats "
        "in both."
    ),
    "seconds": "Measured time by stage and the accuracy it buys. Decoding and the student are paid for every clip.",
    "summary": "All samplers: accuracy at a few K, the share of the oracle's headroom won, and how well they detect.",
    "headline": "The study in a few lines.",
    "ablations": "What changes when one choice of the method changes. Open marks cannot be told from no difference.",
    "ablations_at_inference": "Choices at inference: how clips' predictions are pooled, and how clips are divided.",
    "across": (
        "Gain over dense for a quarter and for half of its multiply-adds, a row a data set: right of the line choosing "
        "wins."
    ),
    "recovered": (
        "How much of what a perfect choice wins over dense each sampler wins, for a quarter of dense's multiply-adds. "
        "The oracle knows the class; the truth knows which clips show it."
    ),
    "side_by_side": "The same curves on each data set: how far samplers rise above dense, and how much room there is.",
    "folds": "Accuracy and mean-class accuracy of each fold and their mean, as UCF-101 and HMDB-51 are reported.",
    "claims": "The thesis' claims on each data set, with the numbers that decide.",
    "verdicts": "The thesis' claims on each data set.",
    "two_worlds": "The embedded benchmark beside real video: how far samplers rise above dense in each.",
    "two_worlds_claims": "The thesis' claims in the embedded benchmark and on real video.",
    "when_choosing_pays": (
        "Worlds from almost only good clips (right) to almost only bad ones (left). Where a line leaves dense, "
        "choosing clips pays."
    ),
    "learning_curves": (
        "What more training videos bring. A band that leaves the line of dense means a significant difference."
    ),
    "finding": "Where choosing clips pays, in a sentence for each K.",
}
